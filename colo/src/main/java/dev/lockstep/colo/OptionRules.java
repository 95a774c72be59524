package dev.lockstep.colo;

import dev.lockstep.nbd.Address;

import java.nio.file.Path;
import java.util.regex.Pattern;

/// The rules that the options of both sides obey. Each refusal is one sentence that names the
/// option.
final class OptionRules {
    /// 1 to 31 characters, as QEMU's node names: `NAME/SESSION` must fit an export's name too.
    private static final Pattern NAME = Pattern.compile("[A-Za-z][A-Za-z0-9._-]{0,30}");

    private OptionRules() {}

    static void checkName(String name) {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException(
                    "--name '%s' is not 1 to 31 of letters, digits, '.', '_' and '-', a letter first"
                            .formatted(name));
        }
    }

    static void checkPrivate(String option, Address address, boolean insecure) {
        if (!insecure && !address.isLoopback()) {
            throw new IllegalArgumentException(
                    ("%s %s can be reached from other hosts, and neither encryption nor"
                                    + " authentication protects it: give a loopback address or"
                                    + " credentials for TLS, or say --insecure")
                            .formatted(option, address));
        }
    }

    static void checkDistinct(String option, Address one, String other, Address two) {
        if (one.equals(two) && !one.takesFreePort()) {
            throw new IllegalArgumentException(
                    "%s and %s are both %s, but they are two listeners"
                            .formatted(option, other, one));
        }
    }

    static Path defaultState(Path disk) {
        return disk.resolveSibling(disk.getFileName() + ".lockstep");
    }
}
