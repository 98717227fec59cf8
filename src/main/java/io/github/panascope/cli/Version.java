package io.github.panascope.cli;

import io.github.panascope.Panascope;
import picocli.CommandLine;

/** The version of this build, as {@code --version} prints it. */
final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
        return new String[] {"panascope " + Panascope.version()};
    }
}
