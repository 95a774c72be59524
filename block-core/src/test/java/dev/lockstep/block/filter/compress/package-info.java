/// Tests of the filter that compresses.
@NullMarked
package dev.lockstep.block.filter.compress;

import org.jspecify.annotations.NullMarked;
