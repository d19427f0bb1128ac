export function HomePage() { return <main class="page-scroll" />; }
