/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.blklogwrites;

import org.jspecify.annotations.NullMarked;
