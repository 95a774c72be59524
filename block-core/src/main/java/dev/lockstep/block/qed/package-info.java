/// QED images, as block devices. (qed_spec.txt)
///
/// An image is a header, one L1 table, L2 tables and clusters; there are no refcounts, and what was
/// allocated once keeps its place. So [QedDevice] reads and writes in place without any lock, and
/// whatever needs a new cluster takes it at the end of the file, where everything reads as zeroes.
/// Whoever does that holds the guest's clusters exclusively in a [dev.lockstep.block.RangeLock]
/// until the data is written and the table's entry set.
///
/// **Tables.** [Tables] translates. Entries change in memory, in pages of tables that [Pages]
/// keeps, and reach the file together at the next flush, or when too many wait.
///
/// **Crashes.** The header's need-check bit is on stable storage before the first entry changes.
/// Data is synced before the L2 entries that lead to it are written, and those before L1 entries
/// that lead to new L2 tables. So at any moment all that the file's tables lead to is there, and a
/// check after a crash finds nothing worse than clusters that nobody uses. Closing writes and syncs
/// all, clears the bit, and gives back the space that the file grew by too far.
///
/// [QedChecker] examines and repairs, and shares nothing with the engine but [Header]; [QedCreator]
/// makes images.
@NullMarked
package dev.lockstep.block.qed;

import org.jspecify.annotations.NullMarked;
