/// Tests of qcow2 images, most of them against qemu-img and qemu-io.
@NullMarked
package dev.lockstep.block.qcow2;

import org.jspecify.annotations.NullMarked;
