export function TracePage() { return <main class="page-scroll" />; }
