/// The format that is none: the bytes of a disk as they are, or a window of them.
@NullMarked
package dev.lockstep.block.raw;

import org.jspecify.annotations.NullMarked;
