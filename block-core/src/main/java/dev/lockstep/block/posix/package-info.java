/// The C library: how its functions are found and called. What they mean is known only to those who
/// call them.
@NullMarked
package dev.lockstep.block.posix;

import org.jspecify.annotations.NullMarked;
