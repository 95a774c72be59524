/// Tests of the buffer overlay.
@NullMarked
package dev.lockstep.block.overlay;

import org.jspecify.annotations.NullMarked;
