/// Tests of compressing and decompressing clusters.
@NullMarked
package dev.lockstep.block.qcow2.codec;

import org.jspecify.annotations.NullMarked;
