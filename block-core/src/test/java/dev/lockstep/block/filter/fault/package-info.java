/// Tests of the fault tools.
@NullMarked
package dev.lockstep.block.filter.fault;

import org.jspecify.annotations.NullMarked;
