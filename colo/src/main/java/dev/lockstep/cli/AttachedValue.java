package dev.lockstep.cli;

import picocli.CommandLine.IParameterPreprocessor;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

import java.util.Map;
import java.util.Stack;

/// Lets an option's optional value be given only as `--option=VALUE`, as GNU programs have it, so
/// that `--option` does not swallow the argument that follows.
final class AttachedValue implements IParameterPreprocessor {
    /// What picocli says is between an option and what follows it as another argument.
    private static final String DETACHED = " ";

    @Override
    @SuppressWarnings("JdkObsolete") // picocli's signature
    public boolean preprocess(
            Stack<String> arguments,
            CommandSpec command,
            ArgSpec argument,
            Map<String, Object> info) {
        if (!DETACHED.equals(info.get("separator"))) {
            return false;
        }
        argument.setValue(((OptionSpec) argument).fallbackValue());
        return true;
    }
}
