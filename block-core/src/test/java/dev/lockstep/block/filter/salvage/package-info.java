/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.salvage;

import org.jspecify.annotations.NullMarked;
