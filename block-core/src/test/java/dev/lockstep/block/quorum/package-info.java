/// Tests of the quorum.
@NullMarked
package dev.lockstep.block.quorum;

import org.jspecify.annotations.NullMarked;
