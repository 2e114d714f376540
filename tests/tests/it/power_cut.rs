//! A pull whose power is cut at any moment: the store that is left leads to a whole image or to none, and the next
//! pull heals it.
//!
//! The calls of a real pull are replayed up to a moment. What was synced by then is kept: a file's bytes and length
//! once an `fsync` of the file that began after the write has returned, a name once one of its directory has. Of
//! all else each piece has a fate of its own, as POSIX allows:
//!
//! - A write or truncation may be lost, be whole, have only its length on the disk (the bytes are zero), or have any
//!   of its pages.
//! - A name that was given or taken may be lost, whatever came before and after it. To sync a file does not save
//!   its name. In half of the cuts names are lost in the order of a journal instead, as on ext4 and xfs:
//!   all up to some moment are kept, and none after.
//! - Two things are relied on beyond POSIX, as every journal keeps them: a rename happens in both of its directories or
//!   in neither, and a directory never has two names.
//!
//! Modes and times are not looked at. `HOIST_POWER_CUTS` sets the number of cuts, and `HOIST_SEED` makes others.

use std::env;
use std::ops::Range;

use hoist_tests::{
    CALLS, Call, Change, Dice, History, Pull, PullSetup, STORE, Site, Strace, TOP, Tree, What, in_parallel,
};

/// Of each pull.
const CUTS: u64 = 200;
/// What of a write is on the disk or is not.
const PAGE: usize = 4096;
const NOTHING: [String; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_in_a_first_pull_leaves_a_whole_image_or_none() {
    let (setup, cuts) = (PullSetup::new().await, cuts());
    assert_eq!(cut(&setup, Pull::First, cuts, |_| true), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_while_a_tag_moves_leaves_the_old_image_or_the_new_one() {
    let (setup, cuts) = (PullSetup::new().await, cuts());
    assert_eq!(cut(&setup, Pull::MovedTag, cuts, |_| true), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_do_find_what_a_store_that_syncs_nothing_loses() {
    let setup = PullSetup::new().await;
    assert_ne!(cut(&setup, Pull::MovedTag, 40, |call| call.name != "fsync"), NOTHING);
}

/// Cuts the power of a pull, from which some calls are left out: says of which cuts what was wrong then.
fn cut(setup: &PullSetup, pull: Pull, cuts: u64, takes: fn(&Call) -> bool) -> Vec<String> {
    let site = setup.before(pull);
    let before = Tree::read(site.path());
    let (pulled, mut calls) = site.pull_under(pull, &Strace::of(CALLS));
    pulled.ok();
    calls.retain(takes);
    let history = History::of(before, &calls);
    in_parallel(0..cuts, |cut| {
        let mut dice = Dice::new(cut);
        // The last moment is one of them: then all is done, and nothing may be lost.
        let moment = if cut == 0 { history.end() } else { dice.below(history.end() + 1) };
        let left = setup.site(&after_power_cut(&history, moment, &mut dice));
        let wrong = survives(setup, pull, &left, published(&history, moment)).err()?;
        Some(format!("cut {cut}, at line {moment}: {wrong}"))
    })
}

fn cuts() -> u64 {
    env::var("HOIST_POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().expect("HOIST_POWER_CUTS is a number"))
}

/// What must hold of a store after a power cut.
fn survives(setup: &PullSetup, pull: Pull, left: &Site, published: Published) -> Result<(), String> {
    let cached = left.cached()?;
    let [old, new] = [&setup.old, &setup.new].map(ToString::to_string);
    let may = match (pull, published) {
        (_, Published::ForGood) => vec![Some(new)],
        (Pull::First, Published::Perhaps) => vec![None, Some(new)],
        (Pull::First, Published::No) => vec![None],
        (Pull::MovedTag, Published::Perhaps) => vec![Some(old), Some(new)],
        (Pull::MovedTag, Published::No) => vec![Some(old)],
    };
    if !may.contains(&cached) {
        return Err(format!("{published:?}, but {cached:?} is cached"));
    }
    left.heal(pull, &setup.new)
}

/// Whether the ref was in place.
#[derive(Debug, Clone, Copy)]
enum Published {
    No,
    Perhaps,
    ForGood,
}

fn published(history: &History, moment: usize) -> Published {
    let tree = history.tree_at(history.end());
    let refs = tree.find(TOP, format!("{STORE}/refs")).expect("refs");
    let dirs: Vec<_> = tree.walk(refs).into_iter().map(|(_, node)| node).collect();
    let is_ref = |change: &&Change| match &change.what {
        What::Named { given, is_placement: true, .. } => {
            given.iter().any(|name| dirs.contains(&name.dir) && !name.name.ends_with("~index.json"))
        }
        _ => false,
    };
    match history.changes().iter().find(is_ref) {
        Some(change) if history.is_durable(change, moment) => Published::ForGood,
        Some(change) if change.span.entered < moment => Published::Perhaps,
        _ => Published::No,
    }
}

/// What is on the disk after the power was cut at this moment.
fn after_power_cut(history: &History, moment: usize, dice: &mut Dice) -> Tree {
    let mut tree = history.before().clone();
    let names = NamesLost::roll(history, moment, dice);
    for change in history.changes().iter().filter(|change| change.span.entered < moment) {
        if history.is_durable(change, moment) {
            change.what.apply(&mut tree);
        } else if let What::Named { .. } = change.what {
            if names.keep(change, dice) {
                change.what.apply(&mut tree);
            }
        } else {
            apply_in_part(&change.what, &mut tree, dice);
        }
    }
    tree
}

/// How names that were not synced are lost.
enum NamesLost {
    /// Each by itself, so many of eight.
    Scattered(usize),
    /// All from a moment on.
    After(usize),
}

impl NamesLost {
    fn roll(history: &History, moment: usize, dice: &mut Dice) -> Self {
        if dice.below(2) == 0 {
            return Self::Scattered(dice.below(9));
        }
        // A journal that has kept one change has kept all that came before it.
        let is_kept = |change: &&Change| {
            matches!(change.what, What::Named { .. }) && history.is_durable(change, moment)
        };
        let kept = history.changes().iter().filter(is_kept).map(|change| change.span.returned).max();
        let kept = kept.unwrap_or_default();
        Self::After(kept + dice.below(moment - kept + 1))
    }

    fn keep(&self, change: &Change, dice: &mut Dice) -> bool {
        match self {
            Self::Scattered(lost) => dice.below(8) >= *lost,
            Self::After(moment) => change.span.returned <= *moment,
        }
    }
}

/// What of a write that was not synced is on the disk.
fn apply_in_part(what: &What, tree: &mut Tree, dice: &mut Dice) {
    let What::Written { file, offset, bytes } = what else {
        if dice.below(2) == 0 {
            what.apply(tree);
        }
        return;
    };
    let pages: fn(&mut Dice) -> bool = match dice.below(4) {
        0 => return,
        1 => |_| true,
        2 => |_| false,
        _ => |dice| dice.below(2) == 0,
    };
    let content = tree.content_mut(*file);
    content.resize(content.len().max(offset + bytes.len()), 0);
    for page in pages_of(*offset..offset + bytes.len()) {
        if pages(dice) {
            content[page.clone()].copy_from_slice(&bytes[page.start - offset..page.end - offset]);
        }
    }
}

/// Splits a range at the ends of pages.
fn pages_of(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let first = range.start / PAGE;
    (first..range.end.div_ceil(PAGE))
        .map(move |page| (page * PAGE).max(range.start)..((page + 1) * PAGE).min(range.end))
}
