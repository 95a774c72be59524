/// A disk as it was, while somebody goes on changing it, with QEMU's name `snapshot-access`.
///
/// Its `file` is a `copy-before-write` filter ([dev.lockstep.block.filter.copybeforewrite]) that
/// the writer goes through. What the writer has changed since is read from where the filter keeps
/// the old bytes, everything else from the disk itself. Nothing can be written here. Where the
/// filter was told to break the snapshot rather than a write, reads fail from then on.
///
///     file    the copy-before-write filter, mostly by its node-name
@NullMarked
package dev.lockstep.block.filter.snapshotaccess;

import org.jspecify.annotations.NullMarked;
