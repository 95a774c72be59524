/// Tests of the format guess and its guard.
@NullMarked
package dev.lockstep.block.filter.probe;

import org.jspecify.annotations.NullMarked;
