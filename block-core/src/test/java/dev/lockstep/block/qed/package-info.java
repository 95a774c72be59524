/// Tests of QED images, beside qemu-img and qemu-io.
@NullMarked
package dev.lockstep.block.qed;

import org.jspecify.annotations.NullMarked;
