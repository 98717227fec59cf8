package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.List;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import okhttp3.OkHttpClient;

/** Certificates of authorities in PEM form, as companies hand them out whose proxies look into what is encrypted. */
final class Certificates {
    private Certificates() {}

    /**
     * Makes a client trust these alone.
     *
     * @param bundle a file of them, or a folder of such files
     * @throws InputException if they cannot be read
     */
    static void trust(Path bundle, OkHttpClient.Builder client) {
        try {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            for (Path file : files(bundle)) add(file, store);
            if (store.size() == 0)
                throw new InputException("REQUESTS_CA_BUNDLE names " + bundle + ", which holds no certificate.");
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, factory.getTrustManagers(), null);
            for (TrustManager manager : factory.getTrustManagers())
                if (manager instanceof X509TrustManager trusted)
                    client.sslSocketFactory(context.getSocketFactory(), trusted);
        } catch (CertificateException e) {
            throw new InputException(
                    "REQUESTS_CA_BUNDLE names " + bundle + ", which is no file of certificates in PEM form.", e);
        } catch (IOException e) {
            throw new InputException(
                    "REQUESTS_CA_BUNDLE names " + bundle + ", which cannot be read: " + InputException.reason(e) + ".",
                    e);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every JDK has TLS", e);
        }
    }

    private static List<Path> files(Path bundle) throws IOException {
        if (!Files.isDirectory(bundle)) return List.of(bundle);
        try (Stream<Path> files = Files.list(bundle)) {
            return files.filter(Files::isRegularFile).sorted().toList();
        }
    }

    private static void add(Path file, KeyStore store) throws IOException, GeneralSecurityException {
        try (InputStream in = Files.newInputStream(file)) {
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(in))
                store.setCertificateEntry(String.valueOf(store.size()), each);
        }
    }
}
