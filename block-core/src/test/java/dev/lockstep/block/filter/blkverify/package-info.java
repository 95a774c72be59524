/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.blkverify;

import org.jspecify.annotations.NullMarked;
