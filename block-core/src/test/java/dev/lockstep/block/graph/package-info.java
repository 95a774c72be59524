/// Tests of gates and graphs.
@NullMarked
package dev.lockstep.block.graph;

import org.jspecify.annotations.NullMarked;
