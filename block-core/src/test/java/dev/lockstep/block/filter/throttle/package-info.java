/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.throttle;

import org.jspecify.annotations.NullMarked;
