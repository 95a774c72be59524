/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.blkdebug;

import org.jspecify.annotations.NullMarked;
