package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.Panascope;
import io.github.panascope.cli.CommandRunner;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/**
 * The command line for {@code spark-submit}, with the option names of the one-machine command line. Exit codes: 0 for
 * success, 1 for a failure, 2 for input that cannot be used.
 */
@Command(
        name = "panascope-spark",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        description = "Opens up GPT-2 with sparse autoencoders on the machines of an Apache Spark cluster.",
        subcommands = {
            FeaturesCommand.class,
            EvalsCommand.class,
            ActivationsCommand.class,
            CommandLine.HelpCommand.class
        })
public final class Main {
    private Main() {}

    static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"panascope-spark " + Panascope.version()};
        }
    }

    /**
     * Runs a command. It returns after success, as cluster managers want it, and ends the process otherwise.
     *
     * @param args the command and its options
     */
    public static void main(String[] args) {
        // Tokens are printed in UTF-8 regardless of the locale, as the one-machine command line prints them.
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
        int status = run(args);
        if (status != 0) System.exit(status);
    }

    /** Runs a command with the streams of the process, and returns its exit code. */
    static int run(String... args) {
        return CommandRunner.run(new Main(), "(--debug shows where it happened)", args);
    }

    /**
     * Runs something in a Spark session, and stops the session unless it was there before.
     *
     * @throws InputException if a task failed with one, with its sentence
     */
    static int inSession(String command, Consumer<SparkSession> work) {
        boolean shared = SparkSession.getDefaultSession().isDefined();
        SparkSession spark =
                SparkSession.builder().appName("panascope " + command).getOrCreate();
        try {
            return Failures.unwrapped(() -> {
                work.accept(spark);
                return 0;
            });
        } finally {
            if (!shared) spark.stop();
        }
    }
}
