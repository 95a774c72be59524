/// What is in a disk image whose format nobody named, and the guard that such a guess needs.
///
/// [ImageFormat] guesses from the first sector. A raw image has no mark of its own, so a guest that
/// writes another format's mark into its first sector would have its disk opened as that format the
/// next time, with backing files of its choosing. [ProbedDevice] refuses such a write.
@NullMarked
package dev.lockstep.block.filter.probe;

import org.jspecify.annotations.NullMarked;
