use super::*;

const MIB: u64 = 1 << 20;
const FAR: Terms = Terms { source: 0, connections: 4, pace: None, has_ranges: true, may_gain: true };

/// A scheduler for blobs of these sizes, of which all is missing.
fn scheduler(sizes: &[u64]) -> Scheduler {
    let mut scheduler = Scheduler::new(sizes.iter().sum());
    for (blob, &size) in sizes.iter().enumerate() {
        scheduler.found(size);
        scheduler.add(blob, std::slice::from_ref(&(0..size)), true);
    }
    scheduler
}

fn take(scheduler: &mut Scheduler, terms: &Terms, now: Instant) -> Option<Piece> {
    scheduler.take(terms, |_| true, now)
}

fn take_over(scheduler: &mut Scheduler, now: Instant) -> Option<Piece> {
    scheduler.take_over(&FAR, |_, _| false, now).map(|(piece, _)| piece)
}

fn deliver(scheduler: &mut Scheduler, piece: &Piece, bytes: u64, now: Instant) {
    let start = scheduler.to_come(piece).unwrap().start;
    assert_eq!(scheduler.accept(piece, start..start + bytes, now), Some(start..start + bytes));
    scheduler.written(piece, bytes);
}

#[test]
fn what_is_missing_is_shared_out_evenly_and_once() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[10 * MIB]);
    let mut pieces = Vec::new();
    while let Some(piece) = take(&mut scheduler, &FAR, now) {
        pieces.push(piece);
    }
    let ranges: Vec<_> = pieces.iter().filter_map(|piece| scheduler.to_come(piece)).collect();
    assert_eq!(ranges.len(), 4);
    assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
    assert!(ranges.iter().all(|range| range.end - range.start == 10 * MIB / 4), "{ranges:?}");
    for piece in &pieces {
        deliver(&mut scheduler, piece, 10 * MIB / 4, now);
    }
    assert!(scheduler.is_written(0));
}

#[test]
fn a_piece_takes_about_a_second_and_no_more_than_its_share() {
    let (now, pace) = (Instant::now(), |mib: f64| Some(mib * 1024.0 * 1024.0));
    for (pace, size) in [(None, 8), (pace(20.0), 20), (pace(500.0), 100), (pace(0.5), 1)] {
        let mut scheduler = scheduler(&[400 * MIB]);
        let piece = take(&mut scheduler, &Terms { pace, ..FAR }, now).unwrap();
        assert_eq!(scheduler.to_come(&piece), Some(0..size * MIB), "{pace:?}");
    }
}

#[test]
fn of_a_near_source_most_layers_are_whole_from_the_beginning() {
    let mut scheduler = scheduler(&[30 * MIB, 700 * MIB]);
    let near = Terms { may_gain: false, ..FAR };
    let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &near, Instant::now())).collect();
    let ranges: Vec<_> = pieces.iter().filter_map(|piece| scheduler.to_come(piece)).collect();
    assert_eq!((ranges[0].end, ranges[1].end.div_ceil(MIB)), (30 * MIB, 32));
}

#[test]
fn what_continues_a_front_goes_first() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[32 * MIB, 32 * MIB, 32 * MIB]);
    let pieces: Vec<_> = (0..4).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
    let places: Vec<_> = pieces.iter().map(|piece| piece.blob).collect();
    assert_eq!(places, [0, 1, 2, 0], "blobs that nobody brings, then the first one");
    deliver(&mut scheduler, &pieces[1], 8 * MIB, now);
    scheduler.finish(&pieces[1], now);
    let next = take(&mut scheduler, &FAR, now).unwrap();
    assert_eq!((next.blob, scheduler.to_come(&next).unwrap().start), (1, 8 * MIB));
}

#[test]
fn small_blobs_are_asked_for_whole_and_the_first_first() {
    let (now, size) = (Instant::now(), MIB + MIB / 3);
    let mut scheduler = scheduler(&[size; 3]);
    let mut pieces = Vec::new();
    while let Some(piece) = take(&mut scheduler, &Terms { connections: 16, ..FAR }, now) {
        pieces.push((piece.blob, scheduler.to_come(&piece)));
    }
    assert_eq!(pieces, [0, 1, 2].map(|blob| (blob, Some(0..size))));
}

#[test]
fn an_answer_that_gets_on_is_left_alone() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[8 * MIB, 8 * MIB]);
    let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
    while take(&mut scheduler, &FAR, now).is_some() {}
    let later = now + PATIENCE * 3;
    deliver(&mut scheduler, &pieces[0], 3 * MIB, later);
    deliver(&mut scheduler, &pieces[1], MIB, later);
    let busy: Vec<_> = [&pieces[0], &pieces[1]].map(|piece| scheduler.to_come(piece)).into();
    _ = take_over(&mut scheduler, later + PATIENCE / 2);
    assert_eq!(busy, [&pieces[0], &pieces[1]].map(|piece| scheduler.to_come(piece)));
}

#[test]
fn an_idle_connection_takes_half_of_what_takes_long_where_that_raises_the_sum() {
    let now = Instant::now();
    let divided = |may_gain: bool, alone: u64| {
        let mut scheduler = scheduler(&[16 * MIB]);
        let slow = take(&mut scheduler, &Terms { connections: 1, ..FAR }, now).unwrap();
        let quick = take(&mut scheduler, &Terms { connections: 1, ..FAR }, now).unwrap();
        deliver(&mut scheduler, &slow, 2 * MIB, now);
        deliver(&mut scheduler, &quick, 8 * MIB, now);
        let idle = now + Duration::from_secs(1);
        scheduler.finish(&quick, idle);
        scheduler.look(idle);
        assert!(scheduler.divided(idle).is_none(), "it may be as quick as the other now");
        deliver(&mut scheduler, &slow, alone, idle);
        let later = idle + Duration::from_secs(1);
        scheduler.divide(&Terms { may_gain, ..FAR }, later).map(|piece| scheduler.to_come(&piece).unwrap())
    };
    let half = divided(true, 2 * MIB).unwrap();
    assert!(half.start > 4 * MIB && half.end == 8 * MIB, "{half:?}");
    assert_eq!(divided(false, 2 * MIB), None, "the source has shown that it brings no more");
    assert_eq!(divided(true, 4 * MIB), None, "it got what the other had");
}

#[test]
fn a_mute_connection_is_relieved_of_everything_and_each_time_later() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[MIB]);
    let mute = take(&mut scheduler, &FAR, now).unwrap();
    let later = now + PATIENCE * 3 / 2;
    let second = take_over(&mut scheduler, later).unwrap();
    assert_eq!((scheduler.to_come(&mute), scheduler.to_come(&second)), (None, Some(0..MIB)));
    scheduler.finish(&mute, later);
    assert!(take_over(&mut scheduler, later + PATIENCE * 3 / 2).is_none(), "it has twice the time");
    assert!(take_over(&mut scheduler, later + PATIENCE * 5 / 2).is_some());
}

/// Where nothing comes over any connection, it is this machine or its link that stands still.
#[test]
fn a_process_that_hears_from_nobody_cuts_nothing() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[MIB, MIB]);
    let pieces: Vec<_> = (0..2).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
    assert!(take_over(&mut scheduler, now + PATIENCE * 2).is_none());
    deliver(&mut scheduler, &pieces[1], MIB / 2, now + PATIENCE * 2);
    assert_eq!(take_over(&mut scheduler, now + PATIENCE * 2).unwrap().blob, 0);
}

#[test]
fn the_time_that_this_machine_takes_is_not_the_connections() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[MIB]);
    _ = take(&mut scheduler, &FAR, now).unwrap();
    let later = now + PATIENCE * 3 / 2;
    scheduler.was_busy(PATIENCE, later);
    assert!(take_over(&mut scheduler, later).is_none());
}

#[test]
fn a_source_without_ranges_brings_all_that_is_missing_in_one_piece() {
    let now = Instant::now();
    let mut scheduler = scheduler(&[10 * MIB]);
    let pieces: Vec<_> = (0..3).filter_map(|_| take(&mut scheduler, &FAR, now)).collect();
    deliver(&mut scheduler, &pieces[0], MIB, now);
    scheduler.merge(&pieces[1]);
    scheduler.merge(&pieces[2]); // another connection that finds it out as well has nothing to do
    assert_eq!(
        pieces.iter().map(|piece| scheduler.to_come(piece)).collect::<Vec<_>>(),
        [None, Some(MIB..10 * MIB), None]
    );
    let came = scheduler.accept(&pieces[1], 0..2 * MIB, now);
    assert_eq!(came, Some(MIB..2 * MIB), "what is here is passed over");
}
