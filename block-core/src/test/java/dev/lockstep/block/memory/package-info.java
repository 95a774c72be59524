/// Tests of the disk in memory.
@NullMarked
package dev.lockstep.block.memory;

import org.jspecify.annotations.NullMarked;
