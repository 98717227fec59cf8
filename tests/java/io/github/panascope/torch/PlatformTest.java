package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which libraries a platform has, and what is said where there are none. */
class PlatformTest {
    /** The size of the libraries that are written here. */
    private static final int SIZE = 4096;

    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({
        "Linux, amd64, linux-x86_64, libtorch_cpu.so",
        "Linux, aarch64, linux-aarch64, libtorch_cpu.so",
        "Mac OS X, aarch64, osx-aarch64, libtorch_cpu.dylib",
        "Windows 11, amd64, win-x86_64, torch_cpu.dll",
        "Windows Server 2022, x86_64, win-x86_64, torch_cpu.dll"
    })
    void javasWordsAreTheNameOfAnArtifact(String os, String arch, String name, String library) {
        assertEquals(name, Platform.of(os, arch).name());
        assertEquals(library, Platform.of(os, arch).library("torch_cpu"));
    }

    @ParameterizedTest
    @CsvSource({"Linux, riscv64", "Mac OS X, x86_64", "Windows 11, aarch64", "FreeBSD, amd64"})
    void otherSystemsAreToldWhatIsSupported(String os, String arch) {
        String message = assertThrows(NativeLibraryException.class, () -> Platform.of(os, arch))
                .getMessage();
        assertTrue(
                message.startsWith(
                        "there is no libtorch for " + os + " on " + arch + ": Panascope runs on linux-x86_64,"
                                + " linux-aarch64 (tested under an emulated"
                                + " processor only), osx-aarch64 (built,"
                                + " never run), and on Windows in WSL2"),
                message);
        assertTrue(Files.isRegularFile(Path.of(message.replaceFirst(".*\\((\\S+) of its sources\\)$", "$1"))), message);
    }

    private URL artifact(String classifier) throws IOException {
        Path root = folder.resolve(classifier);
        Path file = root.resolve("native/lib/pytorch.properties");
        Files.createDirectories(file.getParent());
        Files.writeString(file, "version=2.7.1-20250812\nclassifier=" + classifier + "\nlibraries=a." + classifier);
        return root.toUri().toURL();
    }

    @Test
    void ofSeveralArtifactsTheOneForThisPlatformIsTaken() throws IOException {
        List<String> tried = new ArrayList<>();
        URL[] both = {artifact("linux-x86_64"), artifact("linux-aarch64")};
        try (URLClassLoader loader = new URLClassLoader(both, null)) {
            Properties found = LibTorch.artifact(loader, Platform.LINUX_AARCH64, tried);
            assertEquals("a.linux-aarch64", found.getProperty("libraries"));
            found = LibTorch.artifact(loader, Platform.LINUX_X86_64, tried);
            assertEquals("a.linux-x86_64", found.getProperty("libraries"));
            assertEquals(List.of(), tried);
            assertNull(LibTorch.artifact(loader, Platform.OSX_AARCH64, tried));
        }
        assertEquals(
                List.of("the artifact ai.djl.pytorch:pytorch-native-cpu on the class path is for linux-x86_64 and"
                        + " linux-aarch64, and this is osx-aarch64"),
                tried);
    }

    /** Returns the header of an ELF file of SIZE bytes: its last section header ends where it ends. */
    private static ByteBuffer elf(int machine) {
        ByteBuffer file = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.putInt(0, 0x464c457f).putShort(0x12, (short) machine);
        return file.putLong(0x28, SIZE - 3 * 64).putShort(0x3a, (short) 64).putShort(0x3c, (short) 3);
    }

    /** Returns a Mach-O file of SIZE bytes: a load command that maps nothing, and one that maps its last bytes. */
    private static ByteBuffer machO() {
        ByteBuffer file = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.putInt(0, 0xfeedfacf).putInt(0x10, 2).putInt(0x14, 16 + 72);
        file.putInt(0x20, 0xd).putInt(0x24, 16);
        file.putInt(0x30, 0x19).putInt(0x34, 72);
        return file.putLong(0x30 + 40, SIZE - 1000).putLong(0x30 + 48, 1000);
    }

    private void assertLibrary(ByteBuffer content, int bytes, Platform platform, String refusal) throws IOException {
        Path library = folder.resolve("library");
        Files.write(library, Arrays.copyOf(content.array(), bytes));
        if (refusal == null) {
            LibraryFile.requireWhole(library, platform);
            return;
        }
        String message = assertThrows(NativeLibraryException.class, () -> LibraryFile.requireWhole(library, platform))
                .getMessage();
        assertTrue(message.startsWith(library + " " + refusal), message);
        assertTrue(message.contains("(classifier " + platform.name() + ")"), message);
    }

    @Test
    void aLibraryIsWholeAndForThisPlatform() throws IOException {
        assertLibrary(elf(62), SIZE, Platform.LINUX_X86_64, null);
        assertLibrary(elf(183), SIZE, Platform.LINUX_AARCH64, null);
        assertLibrary(machO(), SIZE, Platform.OSX_AARCH64, null);
        String another = "is a library for another processor than that of linux-";
        assertLibrary(elf(62), SIZE, Platform.LINUX_AARCH64, another + "aarch64");
        assertLibrary(elf(183), SIZE, Platform.LINUX_X86_64, another + "x86_64");
        assertLibrary(machO(), SIZE, Platform.LINUX_X86_64, "is not a library for linux-x86_64");
        assertLibrary(elf(183), SIZE, Platform.OSX_AARCH64, "is not a library for osx-aarch64");
        String truncated = "is truncated: it has 4095 bytes, and should have 4096";
        assertLibrary(elf(62), SIZE - 1, Platform.LINUX_X86_64, truncated);
        assertLibrary(machO(), SIZE - 1, Platform.OSX_AARCH64, truncated);
        assertLibrary(elf(62), 63, Platform.LINUX_X86_64, "is not a library for linux-x86_64");
        assertLibrary(machO(), 100, Platform.OSX_AARCH64, "is truncated: it has 100 bytes, and should have 120");
    }

    @Test
    void aShimIsSmallAndNamesNoFolderOfThisMachine() throws IOException {
        List<Path> shims;
        try (Stream<Path> files = Files.find(
                Path.of("target/native"),
                2,
                (file, _) -> file.getFileName().toString().startsWith("libpanascope."))) {
            shims = files.toList();
        }
        assertFalse(shims.isEmpty());
        for (Path shim : shims) {
            String content = Files.readString(shim, StandardCharsets.ISO_8859_1);
            assertTrue(content.length() < 1_500_000, shim::toString);
            for (Object place :
                    List.of(Path.of("").toAbsolutePath(), LibTorch.cache(), System.getProperty("user.home")))
                assertFalse(content.contains(place + "/"), shim + " names " + place);
            assertTrue(content.contains(shim.toString().endsWith(".so") ? "$ORIGIN" : "@loader_path"), shim::toString);
        }
    }

    @Test
    void thePlatformOfTheseTestsIsOneThatIsKnown() {
        assertSame(Platform.here(), Platform.of(System.getProperty("os.name"), System.getProperty("os.arch")));
        assertTrue(Torch.platform().startsWith(Platform.here().name()));
    }
}
