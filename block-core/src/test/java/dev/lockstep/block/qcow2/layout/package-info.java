/// Tests of the bytes of qcow2 images.
@NullMarked
package dev.lockstep.block.qcow2.layout;

import org.jspecify.annotations.NullMarked;
