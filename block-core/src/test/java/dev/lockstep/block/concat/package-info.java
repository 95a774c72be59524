/// Tests of devices one after the other.
@NullMarked
package dev.lockstep.block.concat;

import org.jspecify.annotations.NullMarked;
