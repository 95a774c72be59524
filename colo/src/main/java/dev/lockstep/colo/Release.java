package dev.lockstep.colo;

import dev.lockstep.qmp.QmpServer;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Which release of Lockstep this is, from the jar's manifest.
public final class Release {
    private static final Pattern NUMBERS = Pattern.compile("(\\d+)\\.(\\d+)\\.(\\d+).*");

    /// As people write it. Classes that run outside the jar have no release.
    public static final String VERSION = read();

    private Release() {}

    /// As the monitor tells it.
    public static QmpServer.Version qmpVersion() {
        Matcher matcher = NUMBERS.matcher(VERSION);
        return matcher.matches()
                ? new QmpServer.Version(
                        Integer.parseInt(matcher.group(1)),
                        Integer.parseInt(matcher.group(2)),
                        Integer.parseInt(matcher.group(3)))
                : new QmpServer.Version(0, 0, 0);
    }

    private static String read() {
        String version = Release.class.getPackage().getImplementationVersion();
        return version == null ? "0.0.0-unpackaged" : version;
    }
}
