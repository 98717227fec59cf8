package io.github.panascope.spark;

import static io.github.panascope.spark.CollectedFixture.assertNothingLeft;
import static io.github.panascope.spark.CollectedFixture.assertRefused;
import static io.github.panascope.spark.CollectedFixture.assertThoseOfOneMachine;
import static io.github.panascope.spark.CollectedFixture.collect;
import static io.github.panascope.spark.CollectedFixture.rows;
import static io.github.panascope.spark.CollectedFixture.tokens;
import static io.github.panascope.spark.CollectedFixture.units;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Features are collected into the disk, HDFS and S3 with equal bytes; markers, locks and sweeping work there. */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobFileSystemsTest {
    @TempDir
    private Path scratch;

    private SparkSession spark;

    @BeforeEach
    void session() {
        spark = Cluster.session();
    }

    @Test
    void aFolderOnDiskMayHaveAnyNameAndHoldsNothingHidden() throws IOException {
        Path folder = scratch.resolve("features of é, 100 %20 #1");
        collect(spark, folder.toString());
        assertThoseOfOneMachine(folder.toString(), scratch);
        assertNothingLeft(folder);
        Path marker = folder.resolve("units")
                .resolve(UnitFiles.marker(units(folder.toString()).getFirst().unit()));
        Files.writeString(scratch.resolve("plain"), "");
        assertEquals(Files.getPosixFilePermissions(scratch.resolve("plain")), Files.getPosixFilePermissions(marker));
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.toList())
                assertEquals(
                        Files.isDirectory(file) ? "rwxr-xr-x" : "rw-r--r--",
                        PosixFilePermissions.toString(Files.getPosixFilePermissions(file)),
                        file.toString());
        }
        assertEquals(folder, HadoopFiles.localPath("file:" + folder));
        HadoopFiles files = HadoopFiles.at(folder.toString());
        assertAppearsWholeAndOnce(files);
        assertEquals(
                1,
                IntStream.range(0, 8)
                        .parallel()
                        .filter(i -> files.create("lock", "by " + i))
                        .count());
    }

    @Test
    void featuresAreCollectedIntoHdfs() throws IOException {
        Configuration settings = new Configuration();
        settings.set(
                MiniDFSCluster.HDFS_MINIDFS_BASEDIR, scratch.resolve("hdfs").toString());
        try (MiniDFSCluster hdfs =
                new MiniDFSCluster.Builder(settings).numDataNodes(1).build()) {
            assertIsWrittenOnce(hdfs.getURI() + "/features of é");
        }
    }

    @Test
    void featuresAreCollectedIntoS3() throws Exception {
        try (S3Server _ = S3Server.start(scratch.resolve("s3"))) {
            String place = "s3a://" + S3Server.BUCKET + "/features of é";
            assertIsWrittenOnce(place);
            HadoopFiles files = HadoopFiles.at(place);
            OutputStream first = files.createElsewhere("lock");
            OutputStream second = files.createElsewhere("lock");
            first.write('1');
            second.write('2');
            first.close();
            assertThrows(IOException.class, second::close);
            assertEquals("1", files.text("lock"));
        }
    }

    /** Collects, deletes a marker, leaves what killed jobs leave, and collects again. */
    private void assertIsWrittenOnce(String place) throws IOException {
        CollectedFeatures all = collect(spark, place);
        assertEquals(rows(spark).rows() * CollectedFixture.CONTEXT, tokens(all));
        assertThoseOfOneMachine(place, scratch);
        HadoopFiles files = HadoopFiles.at(place);
        assertNull(files.text("_running"));

        List<UnitFiles> units = units(place);
        Unit unit = units.get(1).unit();
        files.within("units").delete(UnitFiles.marker(unit));
        files.within("units/" + units.get(2).unit() + "/app-0").put("rows.bin", "half");
        files.within("units").put(".late.json.part", "half");
        assertTrue(files.create("_running", "app-1 running\n"));
        assertFalse(files.create("_running", "app-2 running\n"));
        assertRefused(() -> collect(spark, place), "is being written by another job, app-1");
        files.delete("_running");

        CollectedFeatures again = collect(spark, place);
        assertEquals(unit.rows() * CollectedFixture.CONTEXT, tokens(again));
        assertThoseOfOneMachine(place, scratch);
        for (UnitFiles each : units(place)) {
            List<String> attempts = files.within("units/" + each.unit()).list().stream()
                    .map(file -> file.getPath().getName())
                    .toList();
            assertEquals(List.of(each.attempt()), attempts);
        }
        for (FileStatus file : files.within("units").list())
            assertFalse(file.getPath().getName().startsWith("."), file.toString());
        assertNotNull(files.text("job.json"));
        assertAppearsWholeAndOnce(files);
        assertNull(files.text("_running"));
    }

    private void assertAppearsWholeAndOnce(HadoopFiles files) {
        assertRefused(() -> files.put(scratch, "half"), "half cannot be written: "); // a folder cannot be copied
        assertEquals(-1, files.size("half"));
        assertTrue(files.create("once", "first"));
        assertFalse(files.create("once", "second"));
        assertEquals("first", files.text("once"));
        files.put("once", "replaced");
        assertEquals("replaced", files.text("once"));
        files.delete("once");
        assertNull(files.text("once"));
    }
}
