/// An NBD server for tests of whatever speaks NBD.
///
/// [dev.lockstep.nbd.junit.NbdServerExtension] starts a server before each test and hands it over
/// as a [dev.lockstep.nbd.junit.TestServer]: its URI, its disks to look at from behind, and faults
/// to inject. Each test has a fresh server and fresh disks, on a port of their own, within a
/// millisecond or two, so tests need no care for each other. Afterwards the extension fails the
/// test if a client broke the protocol, as a client does that sends garbage or a payload too large.
@NullMarked
package dev.lockstep.nbd.junit;

import org.jspecify.annotations.NullMarked;
