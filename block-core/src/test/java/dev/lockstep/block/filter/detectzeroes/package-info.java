/// Tests of this package.
@NullMarked
package dev.lockstep.block.filter.detectzeroes;

import org.jspecify.annotations.NullMarked;
