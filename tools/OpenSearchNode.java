import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch for tests: OpenSearchNode FOLDER HTTP_PORT TRANSPORT_PORT, on loopback. */
public final class OpenSearchNode extends Node {
    private OpenSearchNode(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "single"), List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] arguments) throws Exception {
        String folder = arguments[0];
        Settings settings = Settings.builder()
            .put("path.home", folder)
            .put("path.data", Path.of(folder, "data"))
            .put("path.logs", Path.of(folder, "logs"))
            .put("http.port", arguments[1])
            .put("transport.port", arguments[2])
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        new OpenSearchNode(settings).start();
        Thread.currentThread().join();
    }
}
