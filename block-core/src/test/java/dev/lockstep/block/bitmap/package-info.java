/// Tests of the bitmap.
@NullMarked
package dev.lockstep.block.bitmap;

import org.jspecify.annotations.NullMarked;
