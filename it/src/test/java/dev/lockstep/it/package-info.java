/// Whole-system tests: real processes, real peers, real faults.
///
/// [Lockstep] runs our program as a user does, through the launcher. [Peer] runs other people's. A
/// missing peer is a failure that says what to install. [Link] is a cable that can be cut.
/// [History] records what guests did and judges what a disk holds afterwards.
@NullMarked
package dev.lockstep.it;

import org.jspecify.annotations.NullMarked;
