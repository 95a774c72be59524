/// Tests of the raw window.
@NullMarked
package dev.lockstep.block.raw;

import org.jspecify.annotations.NullMarked;
