package io.github.panascope.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A Spark cluster of processes on this machine: a master and workers in this JVM, and executors in JVMs of their own,
 * with the class path of the tests. Spark's own distribution is not needed: an empty folder stands for it.
 */
final class Cluster implements BeforeAllCallback {
    private static SparkSession session;
    private static Map<String, String> settings;

    /** Stops the cluster after the last test, before the JVM ends. */
    @Override
    public void beforeAll(ExtensionContext context) {
        context.getRoot().getStore(ExtensionContext.Namespace.GLOBAL).getOrComputeIfAbsent(Cluster.class, _ ->
                (AutoCloseable) Cluster::stop);
    }

    /** {@return a session with two executors of one core, which all tests share} */
    static SparkSession session() {
        return session(Map.of());
    }

    static JavaSparkContext context() {
        return JavaSparkContext.fromSparkContext(session().sparkContext());
    }

    /** {@return a session with these settings beside the usual ones; one with others is stopped} */
    static synchronized SparkSession session(Map<String, String> more) {
        if (session != null && more.equals(settings) && !session.sparkContext().isStopped()) return session;
        stop();
        try {
            Path home = Path.of(System.getenv("SPARK_HOME"));
            Files.createDirectories(home.resolve("jars"));
            Files.write(home.resolve("RELEASE"), new byte[0]);
            Path local = Files.createTempDirectory("spark-local");
            SparkConf conf = new SparkConf()
                    .setAppName("panascope tests")
                    .setMaster("local-cluster[2,1,2048]")
                    .set("spark.executor.extraClassPath", System.getProperty("java.class.path"))
                    .set("spark.executor.memory", "2g")
                    .set(
                            "spark.executor.extraJavaOptions",
                            "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile"))
                    .set("spark.local.dir", local.toString())
                    .set("spark.sql.warehouse.dir", local.resolve("warehouse").toString())
                    .set("spark.driver.host", "127.0.0.1")
                    .set("spark.driver.bindAddress", "127.0.0.1")
                    .set("spark.ui.enabled", "false")
                    .set("spark.sql.shuffle.partitions", "4")
                    .set("spark.deploy.maxExecutorRetries", "-1");
            FaultyFileSystem.settings().forEach(conf::set);
            S3Server.settings().forEach(conf::set);
            more.forEach(conf::set);
            session = SparkSession.builder().config(conf).getOrCreate();
            settings = new HashMap<>(more);
            return session;
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    static synchronized void stop() {
        if (session != null) session.stop();
        session = null;
    }

    /** {@return the processes of the executors} */
    static List<ProcessHandle> executors() {
        return ProcessHandle.current()
                .descendants()
                .filter(process -> commandLine(process).contains("CoarseGrainedExecutorBackend"))
                .toList();
    }

    /** Java's own way cuts long ones, and the class path stands before the class. */
    private static String commandLine(ProcessHandle process) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
        } catch (IOException e) {
            return ""; // it has ended
        }
    }
}
