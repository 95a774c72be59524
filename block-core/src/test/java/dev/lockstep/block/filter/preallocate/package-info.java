/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.preallocate;

import org.jspecify.annotations.NullMarked;
