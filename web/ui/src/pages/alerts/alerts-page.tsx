export function AlertsPage() { return <main class="page-scroll" />; }
