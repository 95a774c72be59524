/// Tests of copy-before-write, and of what a reader of the overlay sees meanwhile.
@NullMarked
package dev.lockstep.block.filter.copybeforewrite;

import org.jspecify.annotations.NullMarked;
