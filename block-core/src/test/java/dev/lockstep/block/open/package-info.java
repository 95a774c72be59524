/// Tests of this package.
@NullMarked
package dev.lockstep.block.open;

import org.jspecify.annotations.NullMarked;
