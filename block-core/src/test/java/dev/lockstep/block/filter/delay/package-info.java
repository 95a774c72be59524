/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.delay;

import org.jspecify.annotations.NullMarked;
