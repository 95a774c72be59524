/// Tests of the dirty bitmaps inside images.
@NullMarked
package dev.lockstep.block.qcow2.bitmaps;

import org.jspecify.annotations.NullMarked;
