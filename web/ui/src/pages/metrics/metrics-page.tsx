export function MetricsPage() { return <main class="page-scroll" />; }
