package dev.lockstep.qmp;

/// The error classes of QMP. Programs decide by them; all but one are special cases.
public enum ErrorClass {
    /// Anything that has no class of its own: the description says what it is.
    GENERIC_ERROR("GenericError"),
    /// There is no such command, or not in the connection's present mode.
    COMMAND_NOT_FOUND("CommandNotFound"),
    /// A device that the command names cannot be used yet.
    DEVICE_NOT_ACTIVE("DeviceNotActive"),
    /// There is no device of the given name.
    DEVICE_NOT_FOUND("DeviceNotFound"),
    /// The host's kernel lacks a virtualisation feature. Here only so that the set is complete.
    KVM_MISSING_CAP("KVMMissingCap");

    private final String wireName;

    ErrorClass(String wireName) {
        this.wireName = wireName;
    }

    /// The name in the `class` member of an error reply.
    public String wireName() {
        return wireName;
    }

    /// The class of a name in an error reply; an unknown one counts as [#GENERIC_ERROR].
    static ErrorClass of(String wireName) {
        for (ErrorClass candidate : values()) {
            if (candidate.wireName.equals(wireName)) {
                return candidate;
            }
        }
        return GENERIC_ERROR;
    }
}
