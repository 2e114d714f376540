//! The abilities of a registry under test and its origin, which decide the cases that apply.

/// An ability of a registry under test or its origin. A case lists those that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ability {
    /// The origin can be made unreachable, and reachable again.
    Outage,
    /// The origin can be made to have wrong content, and the right one again.
    Damage,
    /// The origin counts the bytes that it transfers.
    Counting,
    /// The origin can hold a transfer in its middle.
    Holding,
    /// The registry answers `pull` by reference from what it has, without asking its origin.
    Remembers,
    /// The registry asks its origin on every `pull` by tag.
    AlwaysAsks,
    /// Nothing is cached before the first pull, and what was removed can be pulled again. Not so where the
    /// origin is the cache, as a directory is.
    StartsEmpty,
    /// `remove` is allowed.
    Removes,
    /// A pulled image is a copy, apart from the origin: damage to it can be healed from there.
    KeepsCopies,
}
