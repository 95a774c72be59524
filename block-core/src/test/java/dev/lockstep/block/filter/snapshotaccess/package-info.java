/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.snapshotaccess;

import org.jspecify.annotations.NullMarked;
