/// Tests of writing through.
@NullMarked
package dev.lockstep.block.filter.writethrough;

import org.jspecify.annotations.NullMarked;
