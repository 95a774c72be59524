/// Tests of the filter of this name.
@NullMarked
package dev.lockstep.block.filter.copyonread;

import org.jspecify.annotations.NullMarked;
