/// Tests of files against real files, loop devices, full disks and the locks of real QEMU tools.
@NullMarked
package dev.lockstep.block.file;

import org.jspecify.annotations.NullMarked;
